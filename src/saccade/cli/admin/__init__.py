"""Commands that administer a workspace: init, doctor, gc, backup, projects, users."""
