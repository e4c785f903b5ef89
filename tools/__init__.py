"""Programs that set up, build and check the project. Not part of the package."""
