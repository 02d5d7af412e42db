"""What several commands use; a command imports from here and never from another's parts."""
