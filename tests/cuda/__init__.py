"""What only a GPU can show; on another machine skipped, or rehearsed on its CPU with CUDA_REHEARSAL=1."""
