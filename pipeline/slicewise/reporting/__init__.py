"""What people look at: pictures and figures."""
