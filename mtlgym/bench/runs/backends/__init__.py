"""Where runs are carried out: in this process, in several, or on a Ray cluster."""
