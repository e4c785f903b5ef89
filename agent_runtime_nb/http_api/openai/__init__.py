"""The same agents as models of OpenAI's API: chat completions and responses."""
