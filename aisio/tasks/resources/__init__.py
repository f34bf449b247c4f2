"""Resources: folders and files, kept in a store in pieces that are named by their content."""
