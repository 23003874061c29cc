"""Where a server listens: what only this machine reaches, and a port that is taken before the address is told."""

import ipaddress
import socket

from upbrush.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """Take a port, 0 for any that is free. Raises ConfigError where it cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"{host}: is no address of this machine ({error.strerror}); 127.0.0.1 is") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)  # now, so that who comes as soon as the address is told need only wait
    except OSError as error:
        listening.close()
        raise ConfigError(f"{host}:{port}: cannot be used ({error.strerror}); choose another --port") from None
    return listening
