# SPDX-License-Identifier: GPL-2.0-or-later
"""Black-box conformance checks for CNI plugin executables; run by tests/conformance."""
