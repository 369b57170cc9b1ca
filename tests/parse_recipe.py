"""PROGRAM RECIPE FOLDER ["old"]: what BitBake's parser finds in a recipe, as JSON."""

import json
import sys

import bb.data  # type: ignore[import-not-found] # in a folder of the test's
import bb.parse  # type: ignore[import-not-found]
import bb.siggen  # type: ignore[import-not-found]

recipe, folder, *old = sys.argv[1:]
data = bb.data.init()
told = {"BBPATH": folder, "BB_SIGNATURE_HANDLER": "noop", "PN": "edgec-model", "FILE": recipe}
told |= {"D": f"{folder}/image", "bindir": "/usr/bin", "libdir": "/usr/lib", "__bbclasstype": "recipe"}
told |= {"WORKDIR": f"{folder}/files"} if old else {"WORKDIR": "/none", "UNPACKDIR": f"{folder}/files"}
for name, value in told.items():
    data.setVar(name, value)
bb.parse.siggen = bb.siggen.init(data)
found = bb.parse.handle(recipe, data)[""]
assert found.getVarFlag("do_install", "func")
names = ("LICENSE", "SRC_URI", "FILES:edgec-model", "INSANE_SKIP:edgec-model", "do_install")
json.dump({name: found.getVar(name) for name in names}, sys.stdout)
