"""One image with all servers, built on this machine from Debian's packages: where no registry of images can be had."""
