"""Programs that try to do harm, each with what must not have come true. They run in the sandbox only.

SECRET and OUTSIDE are replaced by a file with a secret and a folder outside of the sandbox, PARENT by the process id of
whoever started it, PORT by a port of this machine where somebody listens.
"""

from __future__ import annotations

HOSTILE: dict[str, str] = {
    "fork bomb": "import os\nwhile True:\n    os.fork()",
    "fork through subprocess": "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'touch OUTSIDE/harm'])",
    "fork through multiprocessing": (
        "import multiprocessing as m\np = m.get_context('fork').Process(target=open, args=('OUTSIDE/harm', 'w'))\n"
        "p.start(); p.join()"
    ),
    "exec": "import os\nos.execv('/bin/sh', ['sh', '-c', 'touch OUTSIDE/harm'])",
    "daemonise and survive": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)"
    ),
    "endless loop": "while True:\n    pass",
    "endless loop that handles SIGXCPU": (
        "import signal\nsignal.signal(signal.SIGXCPU, lambda *a: None)\nwhile True:\n    pass"
    ),
    "sleep for ever": "import time\ntime.sleep(10**6)",
    "ignore SIGTERM and wait": (
        "import signal, time\nfor n in (1, 2, 15):\n    signal.signal(n, signal.SIG_IGN)\ntime.sleep(10**6)"
    ),
    "allocate memory": "a = []\nwhile True:\n    a.append(bytearray(1 << 24))",
    "allocate in one go": "a = b'x' * (1 << 40)",
    "one large file": "with open('a', 'wb') as f:\n    while True:\n        f.write(b'x' * (1 << 20))",
    "many files": (
        "i = 0\nwhile True:\n    i += 1\n    with open(f'a{i}', 'wb') as f:\n        f.write(b'x' * (1 << 20))"
    ),
    "many inodes": "i = 0\nwhile True:\n    i += 1\n    open(f'a{i}', 'w').close()",
    "huge output": "import sys\nwhile True:\n    sys.stdout.write('x' * (1 << 16))",
    "huge result": "import os\nwhile True:\n    os.write(5, b'x' * (1 << 16))",
    "connect": "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2).sendall(b'harm')",
    "send a datagram": (
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'harm', ('127.0.0.1', PORT))"
    ),
    "listen": "import socket, os\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nos.write(5, b'harm')",
    "reach a Unix socket": (
        "import socket, os\nsocket.socket(socket.AF_UNIX).connect('OUTSIDE/socket')\nos.write(5, b'harm')"
    ),
    "kill the parent": "import os, signal\nos.kill(PARENT, signal.SIGKILL)",
    "kill everybody": "import os, signal\nos.kill(-1, signal.SIGKILL)",
    "kill its group": "import os, signal\nos.killpg(0, signal.SIGKILL)",
    "stop the keeper": "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)",
    "ptrace": (
        "import ctypes, os\nl = ctypes.CDLL(None)\nif l.ptrace(16, PARENT, 0, 0) == 0:\n    os.write(5, b'harm')"
    ),
    "read a secret": "import os\nos.write(5, open('SECRET', 'rb').read())",
    "read /etc/shadow": "import os\nos.write(5, open('/etc/shadow', 'rb').read())",
    "read the home folder": (
        "import os\nfor place in ('/root', '/home', os.path.expanduser('~root')):\n"
        "    for name in os.listdir(place):\n        if name != '.pyenv':\n            os.write(5, name.encode())"
    ),
    "read the parent's environment": "import os\nos.write(5, open('/proc/PARENT/environ', 'rb').read())",
    "write outside": "open('OUTSIDE/harm', 'w').write('x')",
    "write to /tmp and /dev/shm": (
        "import os\nfor place in ('/tmp', '/dev/shm', '/var/tmp'):\n    try:\n"
        "        open(place + '/tunesmith-harm', 'w').close()\n        os.write(5, b'harm')\n"
        "    except OSError:\n        pass"
    ),
    "a link to a secret": "import os\nos.symlink('SECRET', 'a')\nos.write(5, open('a', 'rb').read())",
    "a hard link to a secret": "import os\nos.link('SECRET', 'a')\nos.write(5, open('a', 'rb').read())",
    "rename out": "import os\nopen('a', 'w').close()\nos.rename('a', 'OUTSIDE/harm')",
    "delete outside": "import os\nos.unlink('SECRET')",
    "make the secret writable": "import os\nos.chmod('SECRET', 0o777)",
    "change the interpreter's library": "import json\nopen(json.__file__, 'a').write('#harm')",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f():\n    f()\nf()",
    "crash in C": "import ctypes\nctypes.string_at(0)",
    "jump into C": "import ctypes\nctypes.CFUNCTYPE(None)(1)()",
    "threads": "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(99,)).start()",
    "threads that spin": (
        "import threading\ndef f():\n    while True:\n        pass\n"
        "for i in range(8):\n    threading.Thread(target=f).start()"
    ),
    "work at exit": "import atexit, time\natexit.register(time.sleep, 99)\natexit.register(open, 'OUTSIDE/harm', 'w')",
    "raise its limits": ("import resource, os\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nos.write(5, b'harm')"),
    "leave by namespaces": (
        "import ctypes, os\nl = ctypes.CDLL(None)\nif l.unshare(0x10000000) == 0:\n    os.write(5, b'harm')"
    ),
    "mount": (
        "import ctypes, os\nl = ctypes.CDLL(None)\n"
        "if l.mount(b'/', b'.', None, 4096, None) == 0:\n    os.write(5, b'harm')"
    ),
    "become root": "import os\nos.setuid(0)\nif os.getuid() == 0:\n    os.write(5, open('/etc/shadow', 'rb').read())",
    "exhaust file descriptors": "import os\nwhile True:\n    os.dup(1)",
    "memory without a name": "import os\nfd = os.memfd_create('a')\nos.write(5, b'harm')",
}
