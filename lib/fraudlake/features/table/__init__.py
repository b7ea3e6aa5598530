"""The table `features`: whole builds, increments, and what another definition keeps."""
