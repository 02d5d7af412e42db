"""The page of an audit: its contents as blocks, and the two ways to write them."""
