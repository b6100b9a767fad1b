!> SchNet neural force fields: energies, forces and virials.
!>
!> ```fortran
!> use flashschnet
!> type(fsn_model) :: model
!> type(fsn_potential) :: potential
!> call model%load('model.safetensors')
!> call potential%create(model)
!> call potential%compute(positions, types, cell=cell, energy=energy, forces=forces)
!> ```
!>
!> Lengths and energies are in the model's own units, numbers are `real64` and `int32`. Atoms are counted from 1, and
!> coordinates come first: `positions(3, atoms)`; lattice vectors are the columns of `cell(3, 3)`. Every procedure that
!> can fail has `stat` and `errmsg`; without `stat`, an error writes the library's text and stops the program. Results
!> are written only if a call succeeds.
module flashschnet
   use flashschnet_c, only: fsn_abi_version, fsn_again, fsn_callback_error, fsn_device_error, fsn_internal_error, &
      fsn_invalid_argument, fsn_io_error, fsn_model_error, fsn_numerical_error, fsn_out_of_memory, fsn_success, fsn_unsupported
   use flashschnet_errors, only: fsn_version => library_version
   use flashschnet_exchange, only: fsn_exchange
   use flashschnet_model, only: fsn_model, fsn_model_info, fsn_prior, fsn_type
   use flashschnet_neighbors, only: fsn_neighbor_list
   use flashschnet_potential, only: fsn_potential, fsn_potential_info
   use flashschnet_simulation, only: fsn_exchanges, fsn_simulation
   use flashschnet_topology, only: fsn_terms
   implicit none
   private
   public :: fsn_abi_version, fsn_again, fsn_callback_error, fsn_device_error, fsn_exchange, fsn_exchanges, fsn_internal_error, &
      fsn_invalid_argument, fsn_io_error, fsn_model, fsn_model_error, fsn_model_info, fsn_neighbor_list, &
      fsn_numerical_error, fsn_out_of_memory, fsn_potential, fsn_potential_info, fsn_prior, fsn_simulation, fsn_success, &
      fsn_terms, fsn_type, fsn_unsupported, fsn_version
end module
