# Makes the libraries that are installed of the one that cargo built, in FOLDER. Run as a script after cargo; does
# nothing if nothing is new.
#
# Cargo's static library has every object of the core and of Rust's standard library. Linked into one object, only the
# interface keeps names that others see: a program may link several libraries written in Rust, each with a standard
# library of its own. The shared library is made of the same object, with what cargo does not give it: a SONAME, so that
# a program finds at run time what it was linked against, and versions of its symbols.

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(source "${BUILT}/libflashschnet.a")
set(object "${FOLDER}/flashschnet.o")
set(static "${FOLDER}/libflashschnet.a")
set(shared "${FOLDER}/libflashschnet.so")
if(NOT "${source}" IS_NEWER_THAN "${static}" AND NOT "${source}" IS_NEWER_THAN "${shared}.${VERSION}")
  return()
endif()
file(MAKE_DIRECTORY "${FOLDER}")

# The standard library's objects carry bitcode, which no linker needs here and some trip over.
run("${CMAKE_C_COMPILER}" -r -nostdlib -o "${object}" -Wl,--whole-archive "${source}")
run("${CMAKE_OBJCOPY}" --wildcard "--keep-global-symbol=fsn_*" --remove-section=.llvmbc --remove-section=.llvmcmd
  "${object}")
if(STRIP)
  run("${CMAKE_STRIP}" --strip-unneeded "${object}")
endif()

file(REMOVE "${static}.new")
run("${CMAKE_AR}" rcs "${static}.new" "${object}")

file(WRITE "${FOLDER}/symbols.map" "FLASHSCHNET_${ABI} { global: fsn_*; local: *; };\n")
list(TRANSFORM PRIVATE PREPEND -l)
set(strip "")
if(STRIP)
  set(strip -s)
endif()
run("${CMAKE_C_COMPILER}" -shared -o "${shared}.new" "${object}" ${strip} -Wl,-soname,libflashschnet.so.${ABI}
  "-Wl,--version-script=${FOLDER}/symbols.map" -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,defs -Wl,--as-needed
  ${PRIVATE} -lgcc_s)

# Replaced at once: a program that runs keeps the old ones.
file(RENAME "${static}.new" "${static}")
file(RENAME "${shared}.new" "${shared}.${VERSION}")
file(CREATE_LINK "libflashschnet.so.${VERSION}" "${shared}.${ABI}" SYMBOLIC)
file(CREATE_LINK "libflashschnet.so.${ABI}" "${shared}" SYMBOLIC)
file(REMOVE "${object}")
