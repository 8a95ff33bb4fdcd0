# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strings that have broken into programs: each is put into every field."""

from __future__ import annotations

# What a rendered template or a run command would leave behind stands for @MARK@.
# fmt: off
_PATHS = (  # Paths
    "../x", "../../../../../../../../etc/passwd", "..", ".", "./x", "/etc/passwd", "//etc/passwd",
    "/dev/null", "/proc/self/mem", "a/../../b", "a/b", "..\\..\\x", "C:\\x", "~root/.ssh", "~",
    "%2e%2e%2fx", "..%2fx", "..%00/x", "....//x", "..;/x", "file:///etc/passwd", "a/", "/", "x/.",
    "vm0.example.jp/../../../../tmp/x", "/run/libvirt/libvirt-sock", "\\\\host\\share",
    "..\u2215x",
)
_CONTROL = (  # Control characters
    "a\x00b", "\x00", "vm0.example.jp\x00", "a\nb", "vm0.example.jp\n", "\nvm0", "a\rb", "a\r\nb",
    "\t", "a\x1b[31mred", "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07", "\x07",
    "a\x08b", "\x7f", "\x9b31m", "\x85", "a\x0bb", "a\x0cb", "\x1c\x1d\x1e\x1f", "\u2028",
    "\u2029", "\x01",
)
_XML = (  # XML
    "<a/>", "</name><uuid>x</uuid><name>", "<!-- x -->", "-->", "<![CDATA[x]]>", "]]>", "<?xml?>",
    "&lt;", "&#0;", "&#x41;", "&amp;", "&", "<", ">", '"', "'", '" file="/etc/shadow',
    "'/><x a='", '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]>&y;',
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>&b;',
    "</source></disk><disk type='file'><source file='/etc/shadow'/><target dev='vdz'/></disk>",
    "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'/>",
    "xmlns:maglica='x'", "maglica:vm", "x:y", "{http://x}y", "<xi:include href='/etc/passwd'/>",
    "</domain><domain>",
)
_OPTIONS = (  # Options of programs
    "-", "--", "-v", "--help", "-rf", "--version", "-h", "-O", "--config=/etc/passwd",
    "-oProxy=x", "--image=x", "-f", "-n", "-oProxyCommand=touch @MARK@",
    "--to-command=touch @MARK@", "+x", "@x", "-e", "-c", "--checkpoint-action=exec=touch @MARK@",
    "--name=x", "-\xad", "\u2010\u2010help",
)
_SHELL = (  # Shell
    "$(touch @MARK@)", "`touch @MARK@`", "; touch @MARK@", "| touch @MARK@", "&& touch @MARK@",
    "& touch @MARK@ &", "> @MARK@", "< /etc/passwd", "$HOME", "${IFS}", "*", "?", "[a-z]",
    "{a,b}", "!x", "#x", "\\", "a b", "a;b", "a|b", "$'\\n'", "%0atouch @MARK@",
    "';touch @MARK@;'", "()", "() { :; }; touch @MARK@",
)
_QEMU = (  # QEMU's options and file names
    "a,b", ",file=/etc/shadow", "x,format=raw", "json:{}", "nbd:localhost:10809", "fd:3",
    "file:x", 'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/shadow"}}',
    "nbd+unix:///x?socket=/x", "ssh://x/etc/shadow", "http://x/", "fat:rw:/etc", "blkdebug::/x",
    "rbd:a/b", "vhdx:x", "id=x", "x,readonly=off", "/dev/fdset/1", "null-co://", "a,,b",
    "driver=raw",
)
_TEMPLATES = (  # Templates and formats
    "{{ 7*7 }}", "{{ lookup('pipe', 'touch @MARK@') }}", "{% set x = 1 %}", "{# x #}", "{{", "}}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "#jinja2: variable_start_string:'<<', variable_end_string:'>>'\n"
    "<< lookup('pipe','touch @MARK@') >>",
    "#jinja2: line_statement_prefix:'%%'\n%% set x = lookup('pipe','touch @MARK@')", "%s%s%s%n",
    "%x", "{0}", "{name}", "{0.__class__}", "${x}", "#{7*7}", "<%= 7*7 %>", "%(name)s", "$x",
    "{x!r}", "!unsafe x", "__import__('os').system('touch @MARK@')",
)
_UNICODE = (  # Unicode: direction, look-alikes, surrogates, combining
    "\u202evm0", "vm0\u202d", "\u2066x\u2069", "\u200b", "vm\u200b0", "\ufeffvm0", "\xad",
    "\u180e", "\u0430dmin", "vm\uff10", "\uff0e\uff0e\uff0fx", "\u2024\u2024/x", "\u0131",
    "\u017f", "\u212a", "e\u0301", "\xe9", "a" + "\u0300" * 500, "\ud800", "\udfff", "a\ud83db",
    "\udc80", "\U0001f4a9", "\U000e0041", "\u3164", "\u115f", "\xa0", "\u2003x", "\u1680",
    "\u0660", "\u09e6", "\xdf", "\uffff", "\ufffd", "\x85x", "xn--a", "\u05d0\u05d1", "\u0622",
    "\ufdfa", "\u0345",
)
_BLANKS_AND_LENGTHS = (  # Blanks, lengths, and what looks like another type
    "", " ", "  ", " x", "x ", "\u3000", "a" * 64, "a" * 65, "a" * 255, "a" * 256, "a" * 4097,
    "a." * 40, "a" * 70000, "." * 64, "a..b", ".a", "a.", "-a", "a-", "a-.b", "a.-b", "A", "VM0",
    "0", "00", "1.2.3.4", "127.0.0.1", "a.1", "::1", "0x7f000001", "1e3", "localhost", "null",
    "None", "true", "NaN", "[object Object]", "undefined", "_", "a_b", "*.example.jp",
)
_QUOTES_AND_QUERIES = (  # Quotes and SQL
    "'", "''", '"', '""', "`", '\'"', "\\'", '\\"', "' OR '1'='1", "'; DROP TABLE requests; --",
    "x' UNION SELECT * FROM requests --", "1; ATTACH DATABASE '@MARK@' AS x", "%' --", "x/*",
    "*/x", "?", ":name", "$1", "\\x00", "\\u0000", "x\\", "readfile('/etc/passwd')",
    "load_extension('x')",
)
_FILES = (  # Lines of configuration files, a guest's among them
    "x\n[host_worker]\nname = y", "x\naddress = y", "[x]", "a = b", "a: b", "%(x)s", "# x", "; x",
    "!!python/object/apply:os.system ['touch @MARK@']", "&a *a", "- x", "x: {y: z}", "| x", "? x",
    "x\n127.0.0.1 bank.example.jp", "x 127.0.0.1 y", "x\tlocalhost", "127.0.1.1", "x # y",
    "x\\\ny", "eth0 inet dhcp\n    up touch @MARK@", "x\npost-up touch @MARK@", "up touch @MARK@",
    "auto lo", "source /etc/shadow", "source-directory /", "mapping eth0",
    "192.0.2.7/24\nup touch @MARK@", "192.0.2.7/24 up touch @MARK@", "192.0.2.7/24;x",
    "192.0.2.7/33", "192.0.2.7/255.255.255.0", "fe80::1%eth0/64", "fe80::1%\nup x",
    "192.0.2.1\nnameserver 6.6.6.6", "192.0.2.1 # x", "0.0.0.0", '52:54:00:00:00:01", NAME="x',
    "52:54:00:00:00:01\n", "52:54:00:00:00:0g", "52:54:00:AB:cd:EF", "ff:ff:ff:ff:ff:ff",
)
_KEYS = (  # SSH keys and password hashes
    'command="touch @MARK@" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA',
    'from="*",command="x" ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB',
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA x\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEVI",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA x\rssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEVI",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA\tx",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA \u202ex",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA {{ 7*7 }} $(touch @MARK@) <a/>",
    "cert-authority ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "environment=x", "no-pty", "ssh-dss AAAA",
    "$6$salt$hash:0:0:99999:7:::\nevil::0:0:99999:7:::", "$6$salt$hash0000:1", "$6$salt$", "*",
    "!", "$1$x$" + "a" * 500, "$y$j9T$salt$hash", "x:0:0:root:/root:/bin/sh",
    "$6$a\nb$0123456789", "::",
)
# fmt: on
CORPUS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *(_PATHS + _CONTROL + _XML + _OPTIONS + _SHELL + _QEMU + _TEMPLATES + _UNICODE),
            *(_BLANKS_AND_LENGTHS + _QUOTES_AND_QUERIES + _FILES + _KEYS),
        )
    )
)


def strings(mark: str) -> tuple[str, ...]:
    """Return the corpus; what would be run or rendered of it would make the file ``mark``."""
    return tuple(text.replace("@MARK@", mark) for text in CORPUS)
