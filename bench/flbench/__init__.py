"""The benchmark's orchestration. Nothing here runs while something is being timed."""
