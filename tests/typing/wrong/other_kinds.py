"""Wrong on purpose: a result store without delete, a secret store that gives text, a frontend that gives configs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

from flow_core import ResultInfo, Secret, TaskConfig, hookimpl
from flow_core.hookspecs import FrontendHooks, HostHooks, ResultHooks, SecretHooks


@final
class Store(ResultHooks):
    @hookimpl
    def flow_result_stat(self, key: str) -> ResultInfo:
        return ResultInfo(key, 0)

    @hookimpl
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        return iter([])

    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        return iter([])

    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        return ResultInfo(key, 0)


class Secrets(SecretHooks):
    @hookimpl
    def flow_secret_get(self, name: str) -> str | None:
        return None

    @hookimpl
    def flow_secret_list(self) -> Sequence[str]:
        return [Secret("value")]


class Frontend(FrontendHooks):
    @hookimpl
    def flow_frontend_detect(self, source: str) -> float:
        return "surely"

    @hookimpl
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[TaskConfig]:
        return []


class Policy(HostHooks):
    @hookimpl
    def flow_task_config(self, config: TaskConfig) -> bool:
        return True
