"""Scripts that remake the derived tables of this room."""
