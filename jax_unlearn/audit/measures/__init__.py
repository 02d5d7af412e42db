"""What is measured: functions of stored arrays."""
