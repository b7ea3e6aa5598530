"""What a feature is: blocks of YAML resolved to single features, in words and in cost."""
