"""OCI images of the rehearsal, made from built tools and files of Debian packages."""
