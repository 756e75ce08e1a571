"""What the notebooks and make targets run: executing, drawing sketches, the toy queue."""
