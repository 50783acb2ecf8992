"""What the commands do: functions from values to values."""
