"""The SOAP door: the published provisioning interfaces, over the same port and through the same gate as REST."""
