!> Loading a model file and asking what is in it.
module flashschnet_model
   use, intrinsic :: iso_c_binding, only: c_int, c_loc, c_null_ptr, c_ptr, c_size_t, c_sizeof
   use, intrinsic :: iso_fortran_env, only: int8, int32, int64, real64
   use flashschnet_c, only: c_model_info => fsn_model_info, c_prior => fsn_prior, c_type => fsn_type, &
      fsn_model_description, fsn_model_free, fsn_model_get_info, fsn_model_get_prior, fsn_model_get_type, fsn_model_load, &
      fsn_model_load_buffer, fsn_success
   use flashschnet_errors, only: c_text, conclude, fortran_text
   use flashschnet_handle, only: handle
   implicit none
   private
   public :: fsn_model, fsn_model_info, fsn_prior, fsn_type

   !> What a model is.
   type :: fsn_model_info
      !> Pairs closer than this interact, in the model's unit of length; 0 without a network.
      real(real64) :: cutoff = 0
      !> Interaction blocks; width of the atoms' features and of the filters; number of radial basis functions.
      integer :: blocks = 0, features = 0, filters = 0, basis_functions = 0
      !> Number of atom or bead types.
      integer :: types = 0
      !> Number of analytic priors in the file.
      integer :: priors = 0
      !> Pairs within this many bonds are left out of the graph; if not 0, `excluded` must be given.
      integer :: excluded_bonds = 0
      !> Number of weights and prior parameters.
      integer(int64) :: parameters = 0
      !> Names of the units.
      character(:), allocatable :: length_unit, energy_unit
      !> The unit of length in ångström, the unit of energy in electronvolt.
      real(real64) :: length_in_angstrom = 0, energy_in_ev = 0
   end type

   !> One atom or bead type.
   type :: fsn_type
      !> The integer that stands for it in `types` arrays.
      integer(int32) :: index = 0
      !> Its atomic number, or 0 if it is not an element.
      integer :: atomic_number = 0
      !> Its mass in unified atomic mass units, or 0 if the model does not say.
      real(real64) :: mass = 0
      !> Element symbol or bead name.
      character(:), allocatable :: name
   end type

   !> One analytic prior.
   type :: fsn_prior
      !> Its name.
      character(:), allocatable :: name
      !> Number of atoms a term joins: 2, 3 or 4.
      integer :: atoms = 0
   end type

   !> A loaded model. Immutable. Assignment makes a second handle of the same model.
   type, extends(handle) :: fsn_model
   contains
      procedure :: load
      procedure :: load_buffer
      procedure :: get_info
      procedure :: get_type
      procedure :: get_prior
      procedure :: description
   end type

contains

   !> Reads a model file. On an error the model is what it was before.
   subroutine load(self, path, stat, errmsg)
      class(fsn_model), intent(inout) :: self
      !> The file; trailing blanks are no part of its name.
      character(*), intent(in) :: path
      !> 0, or one of the `fsn_*_error` numbers. Without it an error stops the program, with the library's text.
      integer, intent(out), optional :: stat
      !> The library's text, if there is an error.
      character(:), allocatable, intent(inout), optional :: errmsg
      type(c_ptr) :: made
      integer(c_int) :: status
      character(:), allocatable :: text
      made = c_null_ptr
      status = fsn_model_load(c_text(path), made)
      if (status == fsn_success) call self%set(made, fsn_model_free)
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> Reads a model file that is in memory.
   subroutine load_buffer(self, name, bytes, stat, errmsg)
      class(fsn_model), intent(inout) :: self
      !> Stands for the path in error texts.
      character(*), intent(in) :: name
      !> The file's bytes, which are not needed afterwards.
      integer(int8), intent(in), contiguous, target :: bytes(:)
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(c_ptr) :: made
      integer(c_int) :: status
      character(:), allocatable :: text
      made = c_null_ptr
      status = fsn_model_load_buffer(c_text(name), c_loc(bytes), size(bytes, kind=c_size_t), made)
      if (status == fsn_success) call self%set(made, fsn_model_free)
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> What the model is.
   subroutine get_info(self, info, stat, errmsg)
      class(fsn_model), intent(in) :: self
      type(fsn_model_info), intent(inout) :: info
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(c_model_info) :: from
      integer(c_int) :: status
      character(:), allocatable :: text
      from%size = c_sizeof(from)
      status = fsn_model_get_info(self%get(), from)
      if (status == fsn_success) then
         info%cutoff = from%cutoff
         info%blocks = int(from%blocks)
         info%features = int(from%features)
         info%filters = int(from%filters)
         info%basis_functions = int(from%basis_functions)
         info%types = int(from%types)
         info%priors = int(from%priors)
         info%excluded_bonds = int(from%excluded_bonds)
         info%parameters = from%parameters
         info%length_unit = fortran_text(from%length_unit)
         info%energy_unit = fortran_text(from%energy_unit)
         info%length_in_angstrom = from%length_in_angstrom
         info%energy_in_ev = from%energy_in_ev
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> One of the model's types, by its number from 1 to `types` of `fsn_model_info`.
   subroutine get_type(self, number, kind, stat, errmsg)
      class(fsn_model), intent(in) :: self
      integer, intent(in) :: number
      type(fsn_type), intent(inout) :: kind
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(c_type) :: from
      integer(c_int) :: status
      character(:), allocatable :: text
      from%size = c_sizeof(from)
      status = fsn_model_get_type(self%get(), int(number, c_size_t) - 1, from)
      if (status == fsn_success) then
         kind%index = from%index
         kind%atomic_number = from%atomic_number
         kind%mass = from%mass
         kind%name = fortran_text(from%name)
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> One of the model's priors, by its number from 1 to `priors` of `fsn_model_info`.
   subroutine get_prior(self, number, prior, stat, errmsg)
      class(fsn_model), intent(in) :: self
      integer, intent(in) :: number
      type(fsn_prior), intent(inout) :: prior
      integer, intent(out), optional :: stat
      character(:), allocatable, intent(inout), optional :: errmsg
      type(c_prior) :: from
      integer(c_int) :: status
      character(:), allocatable :: text
      from%size = c_sizeof(from)
      status = fsn_model_get_prior(self%get(), int(number, c_size_t) - 1, from)
      if (status == fsn_success) then
         prior%name = fortran_text(from%name)
         prior%atoms = int(from%atoms)
      end if
      call conclude(status, text, stat)
      if (present(errmsg) .and. allocated(text)) errmsg = text
   end subroutine

   !> The model's description, JSON; empty if no model was loaded.
   function description(self) result(text)
      class(fsn_model), intent(in) :: self
      character(:), allocatable :: text
      text = fortran_text(fsn_model_description(self%get()))
   end function
end module
