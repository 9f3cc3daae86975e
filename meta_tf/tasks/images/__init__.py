"""Tasks of pictures: reading, keeping and drawing them."""
