"""What pull requests and deployments run: preview, comment, drift check, deploy, destroy."""
