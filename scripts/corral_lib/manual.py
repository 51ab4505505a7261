"""--help as a page of the manual: NAME, SYNOPSIS, DESCRIPTION, OPTIONS, EXIT STATUS. Options that many scripts have are explained once, here."""
import argparse
import re

STATUS = """\
0      done, and all is as it should be
1      it is not, or something failed, which is said on standard error
2      a wrong command line
128+n  ended by signal n; 130 is Ctrl-C"""
USUAL = {
    "--build": ("DIR", "where things are built (default build)"),
    "--kernel": ("IMAGE", "the kernel (default DIR/virt-release/Image)"),
    "--harts": ("N", "harts of the machine"),
    "--mem": ("SIZE", "memory of the machine, as 512M or 1G"),
    "--timeout": ("S", "seconds for one run of the machine"),
    "--filter": ("REGEX", "only benchmarks whose name matches"),
    "--icount": (None, "count instructions: 1 ns of guest time is 1 instruction"),
    "--seed": ("N", "the same again: what is drawn at random follows from it"),
    "--minutes": ("N", "how long"),
    "--json": (None, "for machines"),
}


def indented(text):
    return "".join("  " + line + "\n" if line.strip() else "\n" for line in text.strip("\n").split("\n"))


def first(text):
    """What it is, in a line: the first sentence, up to a colon or a form of the command that stands in it."""
    text = " ".join(text.split("\n\n")[0].split())
    text = re.split(r":? scripts/|: |\. |; |\.$", text)[0].rstrip(":.")
    return text if text[1:2].isupper() or text.startswith(("Corral", "Linux")) else text[:1].lower() + text[1:]


class Parser(argparse.ArgumentParser):
    """Its description is a script's __doc__, or begins with a page's NAME already."""

    def __init__(self, *words, status=STATUS, **more):
        super().__init__(*words, **{"formatter_class": argparse.RawDescriptionHelpFormatter} | more)
        self.status = status
        self._optionals.title = "OPTIONS"
        self._positionals.title = "ARGUMENTS"

    def add_argument(self, *words, **more):  # pylint: disable=signature-differs
        metavar, text = USUAL.get(words[0], (None, None))
        if metavar and more.get("action") != "store_true":
            more.setdefault("metavar", metavar)
        if text:
            more.setdefault("help", text if more.get("default") in (None, "", False) or "default" in text else f"{text} (default {more['default']})")
        return super().add_argument(*words, **more)

    def parts(self, given, known):
        """The parts of a script that were asked for, of those there are; choices= would want one, where none means some."""
        for part in given:
            if part not in known:
                self.error(f"no part {part}: there are {', '.join(known)}")
        return given

    def format_help(self):
        usage = re.sub(r"^usage: ", "", self.format_usage())
        usage = re.sub(r"\n {7}", "\n", usage)
        text = (self.description or "").strip("\n")
        if text.startswith("NAME\n"):
            name, _, rest = text.partition("\n\n")
            text = f"{name}\n\nSYNOPSIS\n{indented(usage)}\n{rest}\n\n"
        else:
            text = f"NAME\n  {self.prog} - {first(text) or 'see the page above it'}\n\nSYNOPSIS\n{indented(usage)}\nDESCRIPTION\n{indented(text)}\n"
        formatter = self._get_formatter()
        for group in self._action_groups:
            formatter.start_section(group.title)
            formatter.add_arguments(group._group_actions)  # pylint: disable=protected-access
            formatter.end_section()
        options = formatter.format_help()
        options = re.sub(r"^(ARGUMENTS|OPTIONS):$", r"\1", options, flags=re.MULTILINE)
        end = (self.epilog or "").strip("\n")
        if "EXIT STATUS" not in text + end:
            end = f"{end}\n\nEXIT STATUS\n{indented(self.status)}".strip("\n")
        return text + options + "\n" + end + "\n"


def page(script, doc, *forms, status=STATUS):
    """The page of a script that has no options: its forms are said by hand."""
    return f"NAME\n  {script} - {first(doc)}\n\nSYNOPSIS\n{indented(chr(10).join(forms))}\nDESCRIPTION\n{indented(doc)}\nEXIT STATUS\n{indented(status)}"
