# The core, built by cargo, as targets: flashschnet::shared, flashschnet::static, and flashschnet::flashschnet, which is
# the shared one unless BUILD_SHARED_LIBS is off.

find_program(CARGO_EXECUTABLE cargo HINTS "$ENV{HOME}/.cargo/bin")
if(NOT CARGO_EXECUTABLE)
  message(FATAL_ERROR "cargo was not found. FlashSchNet's core is written in Rust (1.88 or later): install it from "
    "https://rustup.rs or with your package manager, or set CARGO_EXECUTABLE")
endif()

# Cargo's profile and the folder it writes to. A program has no use for a debug build of the core, unless it asks.
set(profile release)
set(strip ON)
if(CMAKE_BUILD_TYPE STREQUAL Debug)
  set(profile dev)
  set(strip OFF)
elseif(CMAKE_BUILD_TYPE STREQUAL RelWithDebInfo)
  set(profile relwithdebinfo)
  set(strip OFF)
endif()
set(FLASHSCHNET_CARGO_FLAGS "" CACHE STRING "More arguments of cargo build, such as --offline")
set(target "${PROJECT_BINARY_DIR}/target")
if(DEFINED ENV{CARGO_TARGET_DIR})
  set(target "$ENV{CARGO_TARGET_DIR}")
endif()
set(FLASHSCHNET_CARGO_TARGET "${target}" CACHE PATH "Cargo's target folder")
set(built "${FLASHSCHNET_CARGO_TARGET}/${profile}")
if(profile STREQUAL dev)
  set(built "${FLASHSCHNET_CARGO_TARGET}/debug")
endif()

# Here they have the names and links that they are installed with.
set(flashschnet_FOLDER "${PROJECT_BINARY_DIR}/core")
set(shared "${flashschnet_FOLDER}/libflashschnet.so")
set(static "${flashschnet_FOLDER}/libflashschnet.a")

# What the core needs of the system.
set(flashschnet_PRIVATE pthread m dl)

# Cargo knows what is up to date, so that it is asked every time.
list(JOIN flashschnet_PRIVATE "$<SEMICOLON>" private)
add_custom_target(flashschnet_core ALL
  COMMAND "${CARGO_EXECUTABLE}" build --locked --lib --profile ${profile} --target-dir "${FLASHSCHNET_CARGO_TARGET}"
    ${FLASHSCHNET_CARGO_FLAGS}
  COMMAND "${CMAKE_COMMAND}" "-DBUILT=${built}" "-DFOLDER=${flashschnet_FOLDER}" -DVERSION=${PROJECT_VERSION}
    -DABI=${flashschnet_ABI} -DSTRIP=${strip} "-DPRIVATE=${private}" "-DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}"
    "-DCMAKE_STRIP=${CMAKE_STRIP}" "-DCMAKE_OBJCOPY=${CMAKE_OBJCOPY}" "-DCMAKE_AR=${CMAKE_AR}"
    -P "${CMAKE_CURRENT_LIST_DIR}/stage.cmake"
  BYPRODUCTS "${shared}" "${shared}.${flashschnet_ABI}" "${shared}.${PROJECT_VERSION}" "${static}"
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  COMMENT "Building the core with cargo (${profile})"
  USES_TERMINAL VERBATIM)

if(FLASHSCHNET_SHARED)
  add_library(flashschnet_shared SHARED IMPORTED GLOBAL)
  set_target_properties(flashschnet_shared PROPERTIES
    IMPORTED_LOCATION "${shared}" IMPORTED_SONAME "libflashschnet.so.${flashschnet_ABI}")
  add_library(flashschnet::shared ALIAS flashschnet_shared)
  set(flashschnet_DEFAULT shared)
endif()
if(FLASHSCHNET_STATIC)
  add_library(flashschnet_static STATIC IMPORTED GLOBAL)
  set_target_properties(flashschnet_static PROPERTIES
    IMPORTED_LOCATION "${static}" INTERFACE_LINK_LIBRARIES "${flashschnet_PRIVATE}")
  add_library(flashschnet::static ALIAS flashschnet_static)
  if(NOT FLASHSCHNET_SHARED OR (DEFINED BUILD_SHARED_LIBS AND NOT BUILD_SHARED_LIBS))
    set(flashschnet_DEFAULT static)
  endif()
endif()
foreach(kind IN ITEMS shared static)
  if(TARGET flashschnet_${kind})
    target_include_directories(flashschnet_${kind} INTERFACE "${PROJECT_SOURCE_DIR}/include")
    add_dependencies(flashschnet_${kind} flashschnet_core)
  endif()
endforeach()
add_library(flashschnet::flashschnet ALIAS flashschnet_${flashschnet_DEFAULT})
