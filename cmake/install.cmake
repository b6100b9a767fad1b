# The install tree. Nothing in it knows where it is: it may be moved.

include(CMakePackageConfigHelpers)

install(FILES include/flashschnet.h include/flashschnet.hpp DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(FLASHSCHNET_SHARED)
  set(name "${flashschnet_FOLDER}/libflashschnet.so")
  install(PROGRAMS "${name}.${PROJECT_VERSION}" "${name}.${flashschnet_ABI}" "${name}"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
if(FLASHSCHNET_STATIC)
  install(FILES "${flashschnet_FOLDER}/libflashschnet.a" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/flashschnet")
configure_package_config_file(cmake/flashschnetConfig.cmake.in flashschnetConfig.cmake
  INSTALL_DESTINATION "${package}" PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR
  NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(flashschnetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/flashschnetConfig.cmake" "${PROJECT_BINARY_DIR}/flashschnetConfigVersion.cmake"
  DESTINATION "${package}")

# pkg-config files find the prefix from their own place.
set(pkgconfig "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH flashschnet_UP "/${pkgconfig}" "/")
string(REGEX REPLACE "/$" "" flashschnet_UP "${flashschnet_UP}")
list(TRANSFORM flashschnet_PRIVATE PREPEND -l OUTPUT_VARIABLE private)
list(JOIN private " " private)
# Without a shared library, what the static one needs is needed by everybody.
if(FLASHSCHNET_SHARED)
  set(flashschnet_LIBS "-lflashschnet")
  set(flashschnet_LIBS_PRIVATE "${private}")
else()
  set(flashschnet_LIBS "-lflashschnet ${private}")
  set(flashschnet_LIBS_PRIVATE "")
endif()
configure_file(cmake/flashschnet.pc.in flashschnet.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/flashschnet.pc" DESTINATION "${pkgconfig}")
if(FLASHSCHNET_FORTRAN)
  configure_file(cmake/flashschnet-fortran.pc.in flashschnet-fortran.pc @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/flashschnet-fortran.pc" DESTINATION "${pkgconfig}")
endif()
