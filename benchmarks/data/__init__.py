"""Recipes that convert the content of Debian and npm packages to tables and pictures."""
