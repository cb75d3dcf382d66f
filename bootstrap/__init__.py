"""What must exist in an account before its first `up`: where state lies, and who may deploy."""
