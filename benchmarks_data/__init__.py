"""Recipes that turn what a package manager installs into tables of tasks."""
