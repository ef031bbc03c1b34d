"""What runs inside the emulator's own process: ministack, adjusted and guarded."""
