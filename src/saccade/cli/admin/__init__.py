"""Commands that administer a workspace: init, doctor, gc, backup, restore, projects, users."""
