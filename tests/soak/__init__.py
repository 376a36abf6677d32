"""`make soak`: everything at once for ten minutes, with faults; then nothing may have grown or got lost."""
