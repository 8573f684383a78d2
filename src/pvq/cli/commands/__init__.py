"""One file per command; its function `command` is the command."""
