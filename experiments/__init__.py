"""The commands, each a folder or a file; `shared` holds what several use, `configs` the presets."""
