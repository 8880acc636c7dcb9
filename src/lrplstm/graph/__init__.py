"""Networks as they are read: operations of any source, and the one reader that makes layers."""
