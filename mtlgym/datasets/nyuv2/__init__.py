"""NYUv2: MTAN's folders, and the Hugging Face hub's files."""
