# SPDX-License-Identifier: Apache-2.0
# Owns the target millrace_blst: BLS12-381 compiled from the sources in the npm package c-kzg.
set(MILLRACE_THIRD_PARTY_DIR ${PROJECT_SOURCE_DIR}/build/third_party CACHE PATH
  "Where scripts/fetch-third-party unpacks the sources that no Debian package ships")

# The script is quick when nothing is to be done, and it alone knows version and checksum.
execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/fetch-third-party ${MILLRACE_THIRD_PARTY_DIR}
  RESULT_VARIABLE millrace_fetch_result ERROR_VARIABLE millrace_fetch_error)
if(NOT millrace_fetch_result EQUAL 0)
  message(FATAL_ERROR "The sources of blst are not in '${MILLRACE_THIRD_PARTY_DIR}' and could not be fetched:\n"
    "${millrace_fetch_error}"
    "Run scripts/fetch-third-party FOLDER on a machine with a network, copy the folder here, and "
    "configure with -DMILLRACE_THIRD_PARTY_DIR=FOLDER.")
endif()

set(MILLRACE_BLST_DIR ${MILLRACE_THIRD_PARTY_DIR}/c-kzg/deps/blst)
add_library(millrace_blst STATIC ${MILLRACE_BLST_DIR}/src/server.c ${MILLRACE_BLST_DIR}/build/assembly.S)
# Portable: the assembly probes the CPU at run time, so one archive serves every machine.
target_compile_definitions(millrace_blst PRIVATE __BLST_PORTABLE__)
target_compile_options(millrace_blst PRIVATE $<$<COMPILE_LANGUAGE:C>:-O2 -w -fno-builtin>)
target_include_directories(millrace_blst SYSTEM PUBLIC ${MILLRACE_BLST_DIR}/bindings)
millrace_note("blst" "c-kzg 4.1.0 in ${MILLRACE_THIRD_PARTY_DIR}")
