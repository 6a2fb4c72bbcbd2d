# SPDX-License-Identifier: Apache-2.0
# Owns what the preset `portable` changes in linking: archives before shared libraries, and a run path beside the binary
# for the few that have no archive in Debian (simdjson, Highway, and the C++ run time that they share with us).
set(CMAKE_FIND_LIBRARY_SUFFIXES .a .so)
set(Boost_USE_STATIC_LIBS ON)
set(OPENSSL_USE_STATIC_LIBS ON)
set(CMAKE_BUILD_RPATH "$ORIGIN/../lib")
# DT_RPATH instead of DT_RUNPATH: it also holds for what the shared libraries themselves need, and the
# environment of the other machine does not override it.
target_link_options(millrace_flags INTERFACE -Wl,--disable-new-dtags -Wl,--as-needed)
