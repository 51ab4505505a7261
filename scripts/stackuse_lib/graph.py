"""The graph of calls, and its longest paths."""
import os
import re
from collections import namedtuple

from stackuse_lib import exceptions

Result = namedtuple("Result", "name stack depth chain")


def plain(name):
    """Without what the compiler puts behind the names of its copies."""
    return re.sub(r"\.(constprop|isra|part|cold|lto_priv)(\.\d+)*", "", name)


class Graph:
    def __init__(self, code, pointers):
        self.code, self.pointers, self.wrong, self.best = code, pointers, [], {}
        self.named = {}
        for function in code.functions.values():
            self.named.setdefault(function.name, []).append(function.start)
        sites = [address for function in code.functions.values() for address, _ in function.pointers]
        self.sources = code.sources(sorted(set(sites) | set(code.functions)))
        self.by_source = {}
        for start, function in code.functions.items():
            if plain(function.name) == function.name:
                self.by_source.setdefault((function.name, os.path.relpath(self.sources[start][-1][1])), []).append(start)
        self.edges = {start: self._edges(function) for start, function in code.functions.items()}
        self._components()

    def _pointer_targets(self, function, address):
        name, file = self.sources[address][0]
        table = exceptions.POINTERS.get(function.name, exceptions.POINTERS.get(name))
        if table is not None:
            return {start for target in table for start in self._table_target(target)}
        types = self.pointers.types_called(name, os.path.relpath(file))
        found = {start for wanted in types for target in self.pointers.targets(wanted) for start in self.by_source.get(target, [])}
        if not found:
            self.wrong.append(f"{function.name} ({name}, {file}) at {address:x} calls through a pointer, and nothing is known that it may lead to")
        return found

    def _table_target(self, target):
        if "(" in target:
            return [start for one in self.pointers.targets(target) for start in self.by_source.get(one, [])]
        return self.named.get(target, [])

    def _edges(self, function):
        edges = {}
        cut = {exceptions.PANIC, *exceptions.CUT.get(plain(function.name), {})}
        for callee, depth in function.calls:
            if plain(self.code.functions[callee].name) not in cut:
                edges[callee] = max(edges.get(callee, 0), depth)
        for address, depth in function.pointers:
            for callee in self._pointer_targets(function, address):
                if plain(self.code.functions[callee].name) not in cut:
                    edges[callee] = max(edges.get(callee, 0), depth)
        return edges

    # ---- Recursion: strongly connected components, by Tarjan without recursion

    def _components(self):
        index, low, on, stack, self.component = {}, {}, set(), [], {}
        for root in self.edges:
            if root in index:
                continue
            work = [(root, iter(self.edges[root]))]
            index[root] = low[root] = len(index)
            stack.append(root)
            on.add(root)
            while work:
                at, rest = work[-1]
                for callee in rest:
                    if callee not in index:
                        index[callee] = low[callee] = len(index)
                        stack.append(callee)
                        on.add(callee)
                        work.append((callee, iter(self.edges[callee])))
                        break
                    if callee in on:
                        low[at] = min(low[at], index[callee])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[at])
                    if low[at] == index[at]:
                        members = set()
                        while not members or at not in members:
                            one = stack.pop()
                            on.discard(one)
                            members.add(one)
                        for one in members:
                            self.component[one] = members

    def _rounds(self, members):
        """How often a recursion goes round, as the table says."""
        names = {plain(self.code.functions[one].name) for one in members}
        for name, (rounds, _) in exceptions.RECURSION.items():
            if name in names:
                return rounds
        self.wrong.append("recursion that is not bounded in exceptions.py: " + ", ".join(sorted(names)))
        return 1

    # ---- Depth

    def _deepest(self, start):
        """(depth, chain) from a function on; the frames of a recursion are all of its members', as often as it goes round."""
        members = self.component[start]
        key = min(members) if len(members) > 1 else start
        if key in self.best:
            return self.best[key]
        recursive = len(members) > 1 or start in self.edges[start]
        own = max(self.code.functions[one].frame for one in members)
        depth, chain = own, [(own, self.code.functions[start].name)]
        lead = 0
        if recursive:
            lead = sum(max((d for c, d in self.edges[one].items() if c in members), default=0) for one in members) * self._rounds(members)
            names = ", ".join(sorted({plain(self.code.functions[one].name) for one in members}))
            chain = [(lead, f"recursion of {names}"), (own, "the last of them")]
            depth += lead
        for one in members:
            for callee, at in self.edges[one].items():
                if callee in members:
                    continue
                below, rest = self._deepest(callee)
                if lead + at + below > depth:
                    depth = lead + at + below
                    chain = ([(lead, f"recursion of {names}")] if recursive else []) + [(at, self.code.functions[one].name)] + rest
        self.best[key] = depth, chain
        return self.best[key]

    def deepest(self, entry):
        starts = [start for name in entry.functions for start in self._table_target(name)]
        if not starts:
            self.wrong.append(f"{entry.name}: no such function")
            return Result(entry.name, entry.stack, 0, [])
        depth, chain = max((self._deepest(start) for start in starts), key=lambda pair: pair[0])
        return Result(entry.name, entry.stack, depth, chain)

    def complaints(self):
        return sorted(set(self.wrong))
