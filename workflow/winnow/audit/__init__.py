"""Who made what, and whether it still holds: records, checks, and deriving again."""
