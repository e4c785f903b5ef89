"""What has no subject of its own: tasks, loops and threads, JSON text, HTTP headers, extras."""
