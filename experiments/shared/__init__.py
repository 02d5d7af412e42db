"""What several commands use; a command that calls another imports its `command` and no more."""
