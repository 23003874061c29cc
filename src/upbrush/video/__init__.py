"""Clips: `upbrush video`. FFmpeg's libraries by PyAV read and write, the Painter paints, shots keep one look."""
