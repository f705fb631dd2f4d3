"""Valkey/Redis: may our user do what FlashGuard does? Asked of the server itself; nothing is executed."""

from typing import Final

from flashguard.kernel import keys
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.valkey.errors import RedisError, ResponseError

from .finding import Finding, State, ok

KEYED: Final = (
    "DEL", "EVAL", "EVALSHA", "EXISTS", "EXPIRE", "GET", "HDEL", "HEXISTS", "HGET", "HGETALL", "HLEN",
    "HMGET", "HSCAN", "HSET", "MGET", "PERSIST", "PEXPIRE", "RENAME", "SADD", "SET", "SMEMBERS", "SREM",
    "UNLINK", "XADD", "XRANGE", "XREAD", "XTRIM", "ZADD", "ZCARD", "ZCOUNT", "ZLEXCOUNT", "ZPOPMIN",
    "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZRANK", "ZREM", "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE",
    "ZSCORE",
)  # fmt: skip
"""Commands about keys, by the scripts and beside them."""
KEYLESS: Final = ("INFO", "PING", "SCRIPT LOAD", "TIME", "WAIT", "WAITAOF", "CONFIG GET")
SINGLE: Final = ("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "ROLE")
"""Where one server has all the keys; ROLE is how a primary that a Sentinel names is made sure of."""
CLUSTER: Final = ("ASKING", "CLUSTER INFO", "CLUSTER SLOTS", "SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE")
CHANNELS: Final = frozenset(("PUBLISH", "SUBSCRIBE", "SPUBLISH", "SSUBSCRIBE"))
SOFT: Final = frozenset(
    ("CONFIG GET", "WAIT", "WAITAOF", "INFO", "CLUSTER INFO", "UNSUBSCRIBE", "SUNSUBSCRIBE")
)
"""FlashGuard sells without these too; something else can't be checked, or waited for."""

ASK: Final = """\
local missing = {}
for _, words in ipairs(ARGV) do
  local command = {}
  for word in string.gmatch(words, '%S+') do command[#command + 1] = word end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(command))
  if known and not allowed then missing[#missing + 1] = words end
end
return missing
"""


NOT_OF: Final = {
    "api": frozenset(("XTRIM", "PUBLISH", "SPUBLISH", "RENAME", "PERSIST", "HSCAN")),
    "recorder": frozenset(
        (
            "SUBSCRIBE",
            "SSUBSCRIBE",
            "UNSUBSCRIBE",
            "SUNSUBSCRIBE",
            "WAIT",
            "WAITAOF",
            "DEL",
            "GET",
            "PEXPIRE",
            "MGET",
            "HSCAN",
        )
    ),
}
"""What only the other process runs, or an operator's command."""
SEVERAL: Final = frozenset(("DEL", "EXISTS", "MGET", "UNLINK", "SUBSCRIBE", "SSUBSCRIBE"))
"""Commands whose arguments are all keys, or all channels."""


def needed(*, cluster: bool, part: str = "") -> tuple[str, ...]:
    """Return every command, with its subcommand.

    Parameters:
        part: api or recorder; else for all processes.
    """
    without = NOT_OF.get(part, frozenset())
    return tuple(
        name for name in (*KEYED, *KEYLESS, *(CLUSTER if cluster else SINGLE)) if name not in without
    )


async def examine_permissions(kernel: Kernel, part: str = "") -> list[Finding]:
    """Check what our user may not do on this server."""
    key = keys.partition(0)
    words = {}
    for name in needed(cluster=kernel.client.sharded, part=part):
        about = keys.recorded(0) if name in CHANNELS else key if name in KEYED else ""
        more = {"EVAL": f"x 1 {key}", "EVALSHA": f"x 1 {key}", "XREAD": f"STREAMS {key} 0-0",
                "RENAME": f"{key} {key}"}.get(name, about if name in SEVERAL else f"{about} x y")  # fmt: skip
        words[f"{name} {more}".strip()] = name
    todo = "ACL SETUSER: see deploy/valkey/users.acl for the commands, the keys ~fg:* and the channels &fg:*."
    try:
        raw = await kernel.client.eval(ASK, 1, key, *words)
    except (RedisError, OSError) as error:
        if not isinstance(error, ResponseError):
            raise MemoryAway(str(error)) from error
        return [Finding("memory: permissions", State.FAILED, f"EVAL: {error}", todo)]
    missing = [words[each.decode()] for each in raw]
    if not missing:
        return [ok("memory: permissions", "all that are needed")]
    hard = [name for name in missing if name not in SOFT]
    state = State.FAILED if hard else State.WARNING
    return [Finding("memory: permissions", state, f"missing: {', '.join(hard or missing)}", todo)]
