"""Scripts that remake the segmenters that come with the package."""
