"""The commands: quickstart, run and search; configs holds one preset per published setting."""
