"""What a profile is: plain data, no torch, no opinion on energy."""
