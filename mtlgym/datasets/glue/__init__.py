"""GLUE: its TSV files, and the Hugging Face hub's."""
